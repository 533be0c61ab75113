"""Data of your own in files of arrays: NumPy, Arrow or Parquet, without any code."""
