namespace Kvcached.TraceReplay.Traces;

/// <summary>Finds the traces that come with the sample.</summary>
public static class TraceFiles
{
    public const string Conversation = "AzureLLMInferenceTrace_conv.csv";

    public const string Code = "AzureLLMInferenceTrace_code.csv";

    /// <summary>
    /// Where the file is, or where it was expected: in <c>traces</c> beside the program, else in <c>samples/traces</c> of the repository
    /// that the program was built in.
    /// </summary>
    public static string Find(string fileName, string programDirectory)
    {
        var beside = Path.Combine(programDirectory, "traces", fileName);
        if (File.Exists(beside))
        {
            return beside;
        }

        return RepositoryRoot.Find(programDirectory) is { } root && Path.Combine(root, "samples", "traces", fileName) is var built && File.Exists(built)
            ? built
            : beside;
    }
}
