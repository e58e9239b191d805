namespace Kvcached.TraceReplay.Traces;

/// <summary>Why a trace could not be used.</summary>
/// <param name="Path">The file.</param>
/// <param name="LineNumber">The line, from 1; 0 when the whole file is meant.</param>
/// <param name="Text">What is wrong, and what is expected.</param>
public sealed record TraceProblem(string Path, int LineNumber, string Text)
{
    public override string ToString() => LineNumber > 0 ? $"{Path}, line {LineNumber}: {Text}" : $"{Path}: {Text}";
}
