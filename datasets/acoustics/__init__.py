"""Room acoustics and sound propagation."""
