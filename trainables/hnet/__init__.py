"""Hungarian network, which associates references and predictions from their distances (Adavanne et al. 2021)."""
