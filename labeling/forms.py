"""What people may send to labeling."""

from rest_framework import serializers

from labeling.states import ExportFormat


class DatasetForm(serializers.Serializer):
    """A dataset of one line; `line` is the line's code."""

    line = serializers.CharField(max_length=8)
    name = serializers.CharField(max_length=100)


class LabelForm(serializers.Serializer):
    """`mask` is a picture as large as the part's main image, white where the defect is; `part` is the part's id."""

    part = serializers.IntegerField(min_value=1)
    mask = serializers.FileField(max_length=200)


class LabelsForm(serializers.Serializer):
    part = serializers.IntegerField(min_value=1)


class ExportForm(serializers.Serializer):
    format = serializers.ChoiceField(choices=ExportFormat.choices, default=ExportFormat.MVTEC)
