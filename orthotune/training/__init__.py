"""One trial: configuration, data, loop, checkpoint. Runs without Ray and MLflow."""
