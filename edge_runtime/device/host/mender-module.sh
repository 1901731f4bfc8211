#!/bin/sh
# Mender's update module `edgewright`, written by `python -m edge_runtime setup mender`.
#
# It installs the model in an artifact that `edgewright export --to mender` made. Mender calls it with a state and the
# folder of the artifact. Whatever signature the artifact has: the model is verified by its own metadata. Where its
# trial fails, the artifact fails, and what ran before goes on running.
set -eu

case "$1" in
    SupportsRollback)
        echo "Yes"
        ;;
    NeedsArtifactReboot)
        echo "No"
        ;;
    ArtifactInstall | ArtifactRollback)
        exec @PYTHON@ -P -m edge_runtime mender --config @CONFIG@ "$1" "$2"
        ;;
esac
