"""Many runs: a grid of them on an executor, chunk by chunk."""
