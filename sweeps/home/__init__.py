"""A sweep's home: its folder on the driver's machine, and who may write there."""
