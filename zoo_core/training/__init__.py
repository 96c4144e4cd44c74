"""One loop for every objective: recipes, checkpoints, reports, runs."""
