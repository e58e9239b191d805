namespace Kvcached.TraceReplay.Orchestration;

/// <summary>Checks before a run of minutes that its results can be written afterwards.</summary>
internal static class OutputFiles
{
    /// <summary>The first of the files whose directory is missing or which is a directory itself, as a sentence, or null.</summary>
    public static string? FindProblem(params string?[] paths)
    {
        foreach (var path in paths)
        {
            if (path is null)
            {
                continue;
            }

            var full = Path.GetFullPath(path);
            if (Directory.Exists(full))
            {
                return $"{full} is a directory; name a file.";
            }

            if (!Directory.Exists(Path.GetDirectoryName(full)))
            {
                return $"{full} can't be written: there is no directory {Path.GetDirectoryName(full)}.";
            }
        }

        return null;
    }
}
