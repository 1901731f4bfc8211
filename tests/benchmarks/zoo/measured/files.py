"""Names of the files of one architecture, in its folder."""

FLOAT, PTQ, QAT, STATIC, CHOSEN = "float.onnx", "ptq.onnx", "qat.onnx", "static.onnx", "chosen.onnx"
JOURNAL, TIMES = "journal.json", "times.json"
