"""The Hungarian network: learns to associate references and predictions from their distances (Adavanne et al. 2021)."""
