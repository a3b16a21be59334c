"""Model families. Each is one file that implements `vision.predictor.Predictor`."""
