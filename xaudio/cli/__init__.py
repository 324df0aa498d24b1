"""The command line: each command reads its options and calls one function. Nothing here imports torch before it must."""
