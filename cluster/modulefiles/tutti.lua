-- Module file for Lmod. In the tarball of launch/package it is share/modulefiles/tutti/VERSION.lua: copy or link it into a
-- folder of MODULEPATH, or `module use TARBALL/share/modulefiles`. Elsewhere, set `base` to the folder that holds bin/tutti.
help([[Tutti @VERSION@: distributed training of sentence-embedding models on CPU clusters. `tutti --help`.]])
whatis("Name: Tutti")
whatis("Version: @VERSION@")
whatis("Description: distributed training of sentence-embedding models on CPU clusters")

-- BASE/share/modulefiles/tutti/VERSION.lua
local base = pathJoin(myFileName():match("^(.*)/share/modulefiles/") or "/opt/tutti", "")

-- mpirun and libmpi; name the module that your site has, of the release that Tutti was built with (4.1).
if not isloaded("openmpi") then
    try_load("openmpi")
end
prepend_path("PATH", pathJoin(base, "bin"))
-- For the scripts of batch systems: sbatch $TUTTI_CHECKOUT/cluster/slurm/train.sbatch CONFIG
setenv("TUTTI_CHECKOUT", pathJoin(base, "share/tutti"))
