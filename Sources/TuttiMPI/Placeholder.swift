// TuttiMPI
