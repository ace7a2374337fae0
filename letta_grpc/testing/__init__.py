"""What tests of your own adapters need: contract suites of ports, and a clock that a test moves. Extra `[testing]`.

A suite is a class that says in its docstring which fixtures or attributes a subclass has to give:

    class TestMyCallbacks(CallbackSenderContract):
        @pytest.fixture
        def sender(self) -> MyCallbacks:
            return MyCallbacks()

        @pytest.fixture
        def receive(self) -> Receive: ...

Its tests are coroutines: pytest-asyncio has to run in the mode `auto`.
"""
