"""Loggers: what hands a sweep to TensorBoard, MLflow, W&B or a file, from its event log alone."""
