"""The autotuner: kernels of a program are timed by the schedules that are possible, and the fastest are kept.

    settings = Settings(target=any_target("cuda"), tune=60.0)    # seconds
    network = xmlc.load("model.onnx", {"N": 1}, settings=settings)

What is possible the passes say that map kernels (`passes/gpu/stated.py`); a roofline model leaves out what cannot be
fast; a stopwatch, which a test may fake, times the rest. Each time is stored as it is taken, with the device's name
and its driver's version: who tunes again goes on where the last run ended, and programs compiled later for the same
device, with no tuning of their own, use what is known of their kernels.
"""
