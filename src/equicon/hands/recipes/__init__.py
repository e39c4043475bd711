"""What the training programmes for hands share: data sources, views and options. Provisional until 1.0."""
