#!/usr/bin/env bash
# MLflow's server, in the foreground: on loopback behind proxy.py, with a password, over PostgreSQL
# and the object store. Nothing secret is in its command line.
set -euo pipefail
. ~/.gatelab/env
data=$GATELAB_FOLDER/postgres
store="postgresql+psycopg://gatelab@/postgres?host=$data"

# A pyarrow URI, s3://bucket/folder?endpoint_override=HOST:PORT&scheme=http, as MLflow wants it.
artifacts=${GATELAB_STORAGE%%\?*}
if [[ $GATELAB_STORAGE =~ [?\&]endpoint_override=([^\&]+) ]]; then
  endpoint=${BASH_REMATCH[1]}
  [[ $GATELAB_STORAGE =~ [?\&]scheme=([^\&]+) ]] && scheme=${BASH_REMATCH[1]}
  export MLFLOW_S3_ENDPOINT_URL=${scheme:-https}://$endpoint
fi

umask 077
cat >~/.gatelab/mlflow_auth.ini <<END
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = $store
admin_username = $MLFLOW_TRACKING_USERNAME
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
# A password takes 50 ms to check; one that was right is taken as right for a minute.
auth_cache_ttl_seconds = 60
END
export MLFLOW_AUTH_CONFIG_PATH=~/.gatelab/mlflow_auth.ini
export MLFLOW_AUTH_ADMIN_USERNAME=$MLFLOW_TRACKING_USERNAME
export MLFLOW_AUTH_ADMIN_PASSWORD=$MLFLOW_TRACKING_PASSWORD
MLFLOW_FLASK_SERVER_SECRET_KEY=$(<~/.gatelab/mlflow_key)
export MLFLOW_FLASK_SERVER_SECRET_KEY
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
unset MLFLOW_TRACKING_URI

until [ -S "$data/.s.PGSQL.5432" ]; do sleep 0.2; done
# One worker: with several, each answer takes 40 ms longer (uvicorn#3149).
exec mlflow server --host 127.0.0.1 --port 5001 --workers 1 --app-name basic-auth \
  --allowed-hosts 'localhost:*,127.0.0.1:*' --backend-store-uri "$store" \
  --artifacts-destination "${artifacts%/}/mlflow"
