"""ONNX models as programs of `ml`: `load` reads a model, `importer.import_model` builds its module."""
