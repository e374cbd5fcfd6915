"""What tests and demos stand on."""
