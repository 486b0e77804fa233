"""What the library asks of the operating system: files that are whole, memory and its limits, signals."""
