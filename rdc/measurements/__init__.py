"""What is measured of a codec: rate, distortion, time."""
