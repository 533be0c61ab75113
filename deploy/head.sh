#!/usr/bin/env bash
# MLflow beside the driver. It listens on loopback alone: the way in is ssh.
set -euo pipefail
state="$HOME/state"
mkdir -p "$state"
if [ -f "$state/mlflow.pid" ] && kill -0 "$(cat "$state/mlflow.pid")" 2>/dev/null; then exit 0; fi
backend="${SOUNDSWEEP_DATABASE:-sqlite:///$state/mlflow.db}"
# One worker and no job runner: 2 processes and half a gigabyte instead of 15 and three.
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true setsid nohup mlflow server \
  --backend-store-uri "$backend" --artifacts-destination "$SOUNDSWEEP_STORAGE/mlartifacts" \
  --host 127.0.0.1 --port 5000 --workers 1 >>"$state/mlflow.log" 2>&1 </dev/null &
echo $! >"$state/mlflow.pid"
