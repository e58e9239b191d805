namespace Kvcached.Host.Dashboard;

/// <summary>Files of the page, which are inside the host.</summary>
internal static class PageFile
{
    /// <exception cref="InvalidOperationException">There is no such file: the host was built wrongly.</exception>
    public static string Read(string name)
    {
        using var stream = typeof(PageFile).Assembly.GetManifestResourceStream($"page/{name}")
            ?? throw new InvalidOperationException($"The host was built without {name} of its page.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
