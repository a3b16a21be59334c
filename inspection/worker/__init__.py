"""The inspect worker: claims waiting parts, looks at them in batches, decides. A ring only wakes it; the rows are its queue."""
