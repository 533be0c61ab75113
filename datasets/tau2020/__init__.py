"""The layout of TAU-NIGENS Spatial Sound Events 2020 on disk, and its mixing augmentation."""
