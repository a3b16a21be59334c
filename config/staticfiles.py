"""Static files under hashed names, ES module imports included, so that an update never meets an old cache."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
    # An import without its closing `;` is silently left unhashed by Django, so a missing entry is an error.
    manifest_strict = True
    # Each pass settles one more level of imports, and Django stops at five.
    max_post_process_passes = 20
