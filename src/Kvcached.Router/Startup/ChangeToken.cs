using System.Security.Cryptography;
using System.Text;

namespace Kvcached.Router.Startup;

/// <summary>The token that sleep and wake need, if any.</summary>
internal sealed class ChangeToken(string? token)
{
    private const string Scheme = "Bearer ";

    private readonly byte[]? _token = token is null ? null : Encoding.UTF8.GetBytes(token);

    public bool IsNeeded => _token is not null;

    public bool IsShownBy(string authorization) =>
        _token is not null && authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(authorization[Scheme.Length..].Trim()), _token);

    /// <summary>Reads the token's file.</summary>
    /// <returns>Null when it can't be read or is empty; <paramref name="error"/> says so.</returns>
    public static ChangeToken? Read(string? path, out string? error)
    {
        error = null;
        if (path is null)
        {
            return new ChangeToken(null);
        }

        try
        {
            var text = File.ReadAllText(path).Trim();
            error = text.Length == 0 ? $"--token-file {path} is empty; write a token into it." : null;
            return error is null ? new ChangeToken(text) : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            error = $"--token-file {path} can't be read: {exception.Message}";
            return null;
        }
    }
}
