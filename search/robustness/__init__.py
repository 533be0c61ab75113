"""How a localizer holds in rooms, noise and with microphones that its training did not have."""
