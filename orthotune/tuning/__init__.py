"""Many trials: Ray Tune schedules them, Optuna suggests them, MLflow records them."""
