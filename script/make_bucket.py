"""Makes the bucket that STORAGE_URL names where it is missing; with a file:// address there is nothing to make."""

import os
import sys
from pathlib import Path

import django
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.files.storage import default_storage  # noqa: E402 - needs the settings
from storages.backends.s3 import S3Storage  # noqa: E402

if not isinstance(default_storage, S3Storage):
    sys.exit(0)
client = default_storage.connection.meta.client
try:
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if default_storage.bucket_name not in names:
        client.create_bucket(Bucket=default_storage.bucket_name)
        print(f"Made the bucket {default_storage.bucket_name}.")
except (BotoCoreError, ClientError) as problem:
    sys.exit(f"The bucket {default_storage.bucket_name} cannot be reached or made: {problem}")
