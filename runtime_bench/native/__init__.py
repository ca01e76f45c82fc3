"""The native runners: C++ sources, the libraries they need, and their set-up."""
