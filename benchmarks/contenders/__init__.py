"""What benchmarks measure Kinema against."""
