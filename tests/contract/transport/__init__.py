"""What every transport must do, against targets that say exactly what a test has them say."""
