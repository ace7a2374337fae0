from hypothesis import settings

# Each test is bounded by pytest's timeout. By the clock an example fails on a machine that has other things to do.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")
