"""What is to be run: the TOML files in ``sheets`` -> figures -> recipes. Standard library only,
milliseconds.
"""
