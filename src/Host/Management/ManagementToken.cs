using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Kvcached.Host.Options;
using Kvcached.Host.Startup;

namespace Kvcached.Host.Management;

/// <summary>
/// The secret that changes through the management HTTP need, also on loopback, which browsers and other users reach too. Made anew with each host process, or read
/// from a file; kept in a file that only its user can read, and gone with the process.
/// </summary>
internal sealed class ManagementToken : IDisposable
{
    private const int ByteCount = 32;
    private const int MinLength = 32;
    private const int MaxLength = 1024;

    private readonly byte[] _text;

    private ManagementToken(byte[] text) => _text = text;

    /// <summary>Makes one, or takes that of a file.</summary>
    /// <param name="file">A file that others can't read, with a token of 32 to 1024 printable ASCII characters without spaces; null = one is made.</param>
    /// <returns>It, or why the file can't be used.</returns>
    public static StartResult<ManagementToken> Create(string? file)
    {
        if (file is null)
        {
            return new ManagementToken(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(ByteCount))));
        }

        try
        {
            // Its mode is that of what was opened, not of a link to it.
            using var handle = File.OpenHandle(file);
            var mode = File.GetUnixFileMode(handle);
            if ((mode & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite)) != 0)
            {
                return Unusable(file, $"others can read or change it (mode {Convert.ToString((int)mode, 8)}); chmod 600 it");
            }

            using var reader = new StreamReader(new FileStream(handle, FileAccess.Read));
            var text = new char[MaxLength + 2];
            var token = new string(text, 0, reader.ReadBlock(text)).TrimEnd();
            return token.Length is >= MinLength and <= MaxLength && token.All(c => c is > ' ' and <= '~')
                ? new ManagementToken(Encoding.ASCII.GetBytes(token))
                : Unusable(file, $"what is in it is no token of {MinLength} to {MaxLength} printable ASCII characters without spaces; 'openssl rand -hex 32' makes one");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return Unusable(file, exception.Message.TrimEnd('.'));
        }
    }

    /// <summary>Where it is kept; empty until <see cref="Write"/>.</summary>
    public string Path { get; private set; } = string.Empty;

    /// <summary>The file of the host that serves management on that port.</summary>
    public static string PathOf(string runDirectory, int port) =>
        System.IO.Path.Combine(runDirectory, string.Create(CultureInfo.InvariantCulture, $"management-{port}.token"));

    /// <summary>True when somebody has shown it. Takes the same time however wrong it is.</summary>
    public bool IsShownBy(string authorization)
    {
        const string Scheme = "Bearer ";
        return authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(authorization[Scheme.Length..].Trim()), _text);
    }

    /// <summary>Writes it for those who may change things.</summary>
    /// <returns>Why it can't be, or null.</returns>
    public StartFailure? Write(string runDirectory, int port)
    {
        var path = PathOf(runDirectory, port);
        try
        {
            var temporary = $"{path}.{Environment.ProcessId}.tmp";
            File.Delete(temporary);
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                file.Write(_text);
                file.WriteByte((byte)'\n');
            }

            File.Move(temporary, path, overwrite: true);
            Path = path;
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new StartFailure(HostExitCode.UnsafeDirectory, $"the management token can't be written to {path}: {exception.Message}");
        }
    }

    private static StartFailure Unusable(string file, string why) =>
        new(HostExitCode.Usage, $"{HostSettingCatalog.ManagementToken}: '{file}' can't be used: {why}.");

    public void Dispose()
    {
        if (Path.Length > 0)
        {
            // Only ours: another host may serve that port by now.
            try
            {
                if (File.Exists(Path) && File.ReadAllBytes(Path).AsSpan().StartsWith(_text))
                {
                    File.Delete(Path);
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // It says nothing any more.
            }
        }
    }
}
