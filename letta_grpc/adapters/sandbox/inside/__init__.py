"""What runs below the server: the zygote, the cells that it forks, and the tool in each.

Rule: nothing in here imports anything of letta_grpc outside of this folder. It is loaded by its path, as the package
`inside`, in an interpreter of its own.
"""
