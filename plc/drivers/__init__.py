"""How bytes reach a PLC, one file a protocol; each driver is disposable and says only what it saw."""
