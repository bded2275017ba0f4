// EnsembleMPI
