"""Every claim of speed or quality, one command each, side by side with what it is compared to."""
