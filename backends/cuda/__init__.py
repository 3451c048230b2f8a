"""The CUDA backend: kernels for NVIDIA GPUs as PTX, made without a CUDA toolkit."""
