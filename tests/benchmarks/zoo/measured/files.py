"""Names of the files of one architecture, in its folder."""

FLOAT, PTQ, QAT, STATIC, CHOSEN = "float.onnx", "ptq.onnx", "qat.onnx", "static.onnx", "chosen.onnx"
PROGRAM, SNAPSHOT = "program.pt2", "snapshot"
JOURNAL, TIMES, TRAINED = "journal.json", "times.json", "qat.json"
