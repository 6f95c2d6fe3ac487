"""Looking inside models and training: distance, dynamics."""
