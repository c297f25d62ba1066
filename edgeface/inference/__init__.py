"""Running the models: runtimes, packages, detector, embedder."""
