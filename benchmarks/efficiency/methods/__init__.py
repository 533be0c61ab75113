"""Search methods behind one interface, driven by the simulator."""
