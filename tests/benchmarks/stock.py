"""A search as a good engineer would first write it: the reference of the platform.

A function trainable, Ray Tune with its defaults, Ray's own Optuna searcher and MLflow
callback, SQLite; the textbook training of the network of `platform`'s study.

    python -m tests.benchmarks.stock --trials 20 --slots 1
"""

import argparse
import os
import time

import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: TID251 - no other
from ray.tune.search.optuna import OptunaSearch
from sklearn.datasets import load_digits

from tests.benchmarks.textbook import TextbookStep

IMAGES, VALIDATION, BATCH = 128, 300, 64


def train(config):
    pixels, targets = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    targets = torch.tensor(targets)
    step = TextbookStep(8, 1, lr=config["lr"], coeff=config["coeff"])
    for _ in range(config["epochs"]):
        start = time.perf_counter()
        step.net.train()
        for batch in torch.randperm(IMAGES).split(BATCH):
            step(images[batch], targets[batch])
        step.net.eval()
        with torch.no_grad():
            guesses = step.net(images[-VALIDATION:]).argmax(1)
        error = (guesses != targets[-VALIDATION:]).float().mean().item()
        seconds = time.perf_counter() - start
        tune.report({"val_error": error, "epoch_time_s": seconds})


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stock")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--slots", type=int, default=1)
    options = parser.parse_args()
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(1e-3, 1e-1),
            "coeff": tune.loguniform(1e-5, 1e-2),
            "epochs": 1,
        },
        tune_config=tune.TuneConfig(
            metric="val_error",
            mode="min",
            search_alg=OptunaSearch(),
            num_samples=options.trials,
            max_concurrent_trials=options.slots,
        ),
        run_config=tune.RunConfig(
            storage_path=os.path.abspath("results"),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri="sqlite:///mlflow.db", experiment_name="stock"
                )
            ],
        ),
    )
    print(tuner.fit().get_best_result().metrics["val_error"])


if __name__ == "__main__":
    main()
