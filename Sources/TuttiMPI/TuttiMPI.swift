// Tutti with its ranks as MPI processes.

@_exported import Tutti
@_exported import TuttiEnsembleMPI
